"""What is learned: conversations, their tokens, and the rules that answers are judged by."""

from .conversations import IGNORED as IGNORED
from .conversations import Encoded as Encoded
from .conversations import Task as Task
from .conversations import as_chat as as_chat
from .conversations import collate as collate
from .conversations import encode as encode
from .conversations import everyday_questions as everyday_questions
from .conversations import general_text as general_text
from .conversations import load_task as load_task
from .conversations import pack as pack
from .jsonl import read_jsonl as read_jsonl
from .preferences import Preference as Preference
from .preferences import encode_pair as encode_pair
from .preferences import load_pairs as load_pairs
from .preferences import read_pairs as read_pairs
