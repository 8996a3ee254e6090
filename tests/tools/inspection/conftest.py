from peft_zoo import base_folder as base_folder
from peft_zoo import zoo as zoo
