"""The parts of networks that we ship, by name; others come through `veldt.networks`."""

NETWORKS = {
    "mlp": "veldt.agents.networks.mlp:MLP",
    "shallow": "veldt.agents.networks.convolutional:Shallow",
    "nature": "veldt.agents.networks.convolutional:Nature",
    "deep": "veldt.agents.networks.residual:Deep",
    "none": "veldt.agents.networks.cores:NoCore",
    "lstm": "veldt.agents.networks.cores:LSTM",
    "gru": "veldt.agents.networks.cores:GRU",
    "categorical": "veldt.agents.networks.heads:CategoricalHead",
    "multi-categorical": "veldt.agents.networks.heads:MultiCategoricalHead",
    "gaussian": "veldt.agents.networks.heads:GaussianHead",
}
