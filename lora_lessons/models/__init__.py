"""Base models: the embedded one, a folder, a GGUF or a hub id, in 32, 16 or 4 bits."""

import logging

from .chat_template import rendered as rendered
from .configs import config_in_gguf as config_in_gguf
from .device import best_device as best_device
from .device import card as card
from .digest import parameter_bytes as parameter_bytes
from .digest import tensors_digest as tensors_digest
from .digest import weights_digest as weights_digest
from .embedded import EMBEDDED as EMBEDDED
from .embedded import EMBEDDED_DISK as EMBEDDED_DISK
from .embedded import EMBEDDED_NAME as EMBEDDED_NAME
from .embedded import embedded_folder as embedded_folder
from .embedded import embedded_place as embedded_place
from .encoder import ENCODER_NAME as ENCODER_NAME
from .encoder import Encoder as Encoder
from .encoder import encoder_folder as encoder_folder
from .encoder import load_encoder as load_encoder
from .finite import check_finite as check_finite
from .finite import not_finite as not_finite
from .generation import answers as answers
from .generation import chat as chat
from .hub import fetch_adapter as fetch_adapter
from .hub import fetch_config as fetch_config
from .loading import BASE_ALONE as BASE_ALONE
from .loading import Base as Base
from .loading import base_weights as base_weights
from .loading import folder as folder
from .loading import load as load
from .loading import load_tokenizer as load_tokenizer
from .loading import own_precision as own_precision
from .meant import Meant as Meant
from .meant import is_hub_id as is_hub_id
from .meant import which as which
from .precision import Precision as Precision
from .precision import best_precision as best_precision
from .precision import fast_dtype as fast_dtype
from .safetensors_files import is_whole as is_whole
from .shapes import SHAPES as SHAPES
from .shapes import random_base as random_base
from .shapes import shape as shape
from .trainable import keep_trainable as keep_trainable

# On every processor it warns of a kernel that is optional.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
