"""The schedulers we ship, by name."""

SCHEDULERS = {
    "whole": "veldt.search.schedulers.whole:Whole",
    "halving": "veldt.search.schedulers.halving:Halving",
    "hyperband": "veldt.search.schedulers.halving:Hyperband",
    "asha": "veldt.search.schedulers.asha:Asha",
    "median": "veldt.search.schedulers.median:Median",
    "curve": "veldt.search.schedulers.curve:Stopping",
    "freeze-thaw": "veldt.search.schedulers.freeze_thaw:FreezeThaw",
    "pbt": "veldt.search.schedulers.pbt:Pbt",
    "pb2": "veldt.search.schedulers.pb2:Pb2",
}
