"""Base models: the embedded one, a folder, a GGUF or a hub id, in 32, 16 or 4 bits."""

import logging

from .chat_template import rendered as rendered
from .configs import Meant as Meant
from .configs import is_hub_id as is_hub_id
from .configs import which as which
from .embedded import EMBEDDED as EMBEDDED
from .embedded import EMBEDDED_DISK as EMBEDDED_DISK
from .embedded import EMBEDDED_FETCHED as EMBEDDED_FETCHED
from .embedded import EMBEDDED_HUB as EMBEDDED_HUB
from .embedded import EMBEDDED_LICENCE as EMBEDDED_LICENCE
from .embedded import EMBEDDED_NAME as EMBEDDED_NAME
from .embedded import EMBEDDED_PACKAGE as EMBEDDED_PACKAGE
from .embedded import ENCODER_NAME as ENCODER_NAME
from .embedded import Encoder as Encoder
from .embedded import embedded_folder as embedded_folder
from .embedded import embedded_place as embedded_place
from .embedded import encoder_folder as encoder_folder
from .embedded import load_encoder as load_encoder
from .gguf_config import config_in_gguf as config_in_gguf
from .hub import fetch_adapter as fetch_adapter
from .hub import to_fetch as to_fetch
from .loading import BASE_ALONE as BASE_ALONE
from .loading import Base as Base
from .loading import answers as answers
from .loading import base_weights as base_weights
from .loading import chat as chat
from .loading import folder as folder
from .loading import keep_trainable as keep_trainable
from .loading import load as load
from .loading import load_tokenizer as load_tokenizer
from .loading import own_precision as own_precision
from .loading import reads as reads
from .named import NAMED as NAMED
from .named import Named as Named
from .named import named as named
from .parts import fetched as fetched
from .parts import named_file as named_file
from .precision import Precision as Precision
from .precision import best_device as best_device
from .precision import best_precision as best_precision
from .precision import card as card
from .precision import fast_dtype as fast_dtype
from .shapes import KNOWN as KNOWN
from .shapes import PUBLISHED as PUBLISHED
from .shapes import SHAPES as SHAPES
from .shapes import fetch_config as fetch_config
from .shapes import known as known
from .shapes import nearest as nearest
from .shapes import others_say as others_say
from .shapes import random_base as random_base
from .shapes import shape as shape
from .weights import check_finite as check_finite
from .weights import is_whole as is_whole
from .weights import not_finite as not_finite
from .weights import parameter_bytes as parameter_bytes
from .weights import tensors_digest as tensors_digest
from .weights import weights_digest as weights_digest

# On every processor it warns of a kernel that is optional.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
