"""The problems we ship, by name."""

PROBLEMS = {
    "episodes": "veldt.search.problems.episodes:Episodes",
    "learning-rate": "veldt.search.problems.learning_rate:LearningRate",
}
