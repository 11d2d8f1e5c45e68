"""The deep torso of the IMPALA paper: 15 convolutions in residual blocks.

Espeholt et al. 2018, arXiv:1802.01561, figure 3 right. Three sections of 16, 32 and 32
channels: a 3x3 convolution, a 3x3 max-pool of stride 2, and two residual blocks; then a
ReLU, a layer of 256 and a ReLU. 1.6 M parameters on 72 x 96 images with the LSTM of 256.

Padding is torch's: where TensorFlow's "SAME" pools an even side, the window lies one pixel
further to the right and below.
"""

from torch import Tensor, nn
from torch.nn import functional

from veldt.agents.networks.convolutional import Flat, ImageTorso, OfBytes, demand_image
from veldt.agents.networks.settings import NetworkSettings
from veldt.platform.envs.vector import Observations

SECTIONS = (16, 32, 32)


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(functional.relu(x))
        found: Tensor = x + self.second(functional.relu_(y))
        return found


class Deep(ImageTorso):
    """A torso for images [C, H, W]."""

    features = 256

    def __init__(self, observations: Observations, settings: NetworkSettings) -> None:
        super().__init__(settings)
        demand_image("deep", observations)
        channels, height, width = observations.shape
        layers: list[nn.Module] = []
        for filters in SECTIONS:
            kind = nn.Conv2d if layers else OfBytes
            layers += [
                kind(channels, filters, 3, padding=1),
                nn.MaxPool2d(3, stride=2, padding=1),
                Residual(filters),
                Residual(filters),
            ]
            channels, height, width = filters, -(-height // 2), -(-width // 2)
        units = nn.Linear(channels * height * width, self.features)
        self.finish(*layers, nn.ReLU(inplace=True), Flat(), units, nn.ReLU(inplace=True))
