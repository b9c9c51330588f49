"""`python -m gpu_inference.tiny DIR`: a checkpoint of random weights, for tests.

生成随机权重的模型。
"""

import sys
from pathlib import Path

from gpu_inference.tiny.checkpoint import build

print(build(Path(sys.argv[1])))
