"""Base models: the embedded one, a folder, a GGUF or a hub id, in 32, 16 or 4 bits."""

from ..errors import ModelError as ModelError
from .base import (
    EMBEDDED as EMBEDDED,
)
from .base import (
    EMBEDDED_DISK as EMBEDDED_DISK,
)
from .base import (
    EMBEDDED_NAME as EMBEDDED_NAME,
)
from .base import (
    EMBEDDED_PACKAGE as EMBEDDED_PACKAGE,
)
from .base import (
    EMBEDDED_SHA256 as EMBEDDED_SHA256,
)
from .base import (
    SHAPES as SHAPES,
)
from .base import (
    Base as Base,
)
from .base import (
    Precision as Precision,
)
from .base import (
    answers as answers,
)
from .base import (
    best_device as best_device,
)
from .base import (
    best_precision as best_precision,
)
from .base import (
    card as card,
)
from .base import (
    chat as chat,
)
from .base import (
    check_sha256 as check_sha256,
)
from .base import (
    embedded_folder as embedded_folder,
)
from .base import (
    fast_dtype as fast_dtype,
)
from .base import (
    folder as folder,
)
from .base import (
    keep_trainable as keep_trainable,
)
from .base import (
    load as load,
)
from .base import (
    parameter_bytes as parameter_bytes,
)
from .base import (
    random_base as random_base,
)
from .base import (
    shape as shape,
)
from .base import (
    weights_digest as weights_digest,
)
