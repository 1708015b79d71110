"""The data sets that `carve evaluate --dataset` knows."""

from __future__ import annotations

from carve.evaluate.datasets.buff import BUFF
from carve.evaluate.datasets.cape import CAPE, CAPE_NFP
from carve.evaluate.datasets.cloth3d import CLOTH3D
from carve.evaluate.datasets.custom_humans import CUSTOM_HUMANS
from carve.evaluate.datasets.four_d_dress import FOUR_D_DRESS
from carve.evaluate.datasets.mvp_human import MVP_HUMAN
from carve.evaluate.datasets.renderpeople import RENDERPEOPLE
from carve.evaluate.datasets.scan import Dataset
from carve.evaluate.datasets.thuman import THUMAN

DATASETS: dict[str, Dataset] = {
    "thuman2": THUMAN,
    "thuman2.1": THUMAN,
    "cape": CAPE,
    "cape-nfp": CAPE_NFP,
    "renderpeople": RENDERPEOPLE,
    "customhumans": CUSTOM_HUMANS,
    "mvp-human": MVP_HUMAN,
    "buff": BUFF,
    "4d-dress": FOUR_D_DRESS,
    "cloth3d": CLOTH3D,
}
"""Name on the command line -> data set."""
