"""The problems we ship, by name."""

PROBLEMS = {
    "atari": "veldt.search.problems.atari:AtariProblem",
    "episodes": "veldt.search.problems.episodes:Episodes",
    "function": "veldt.search.problems.function:Function",
    "lives": "veldt.search.problems.lives:LivesProblem",
    "learning-rate": "veldt.search.problems.learning_rate:LearningRate",
    "lqr": "veldt.search.problems.lqr:Lqr",
}
