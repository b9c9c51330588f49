"""Prompts: special tokens in them are made harmless, and over-long ones refused, never cut.

提示词：净化特殊标记，过长则拒绝。
"""

from __future__ import annotations

import copy
import threading
import unicodedata
from typing import Any

from gpu_inference.work.protocol import PromptTooLong


class Prompts:
    """The rules of one model's tokenizer and template; any thread may ask.

    A prompt is put into the model's chat template. A text like `<|im_end|>` in it would end the
    caller's turn there and let the rest speak as the system, so each is broken up by a space after
    its first character, after which the tokenizer reads it as plain text.

    一个模型的提示词规则。
    """

    def __init__(self, tokenizer: Any, template: str, start: int, limit: int) -> None:
        # A copy: the pipeline sets truncation on its own while it runs, in another thread.
        self._tokenizer = copy.deepcopy(tokenizer)
        self._lock = threading.Lock()
        self._template = template
        self._start = start
        self._special = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
        # What follows the prompt in the template counts too.
        self.limit = limit - (self._count("") - start)

    def check(self, text: str) -> str:
        """Return the text as it is given to the model; raises PromptTooLong.

        返回净化后的提示词。
        """
        safe = self.neutralise(text)
        # A token of text rarely has more than a dozen characters; this spares counting a novel.
        tokens = self.tokens(safe) if len(safe) <= 100 * self.limit else len(safe)
        if tokens > self.limit:
            raise PromptTooLong(tokens, self.limit)
        return safe

    def neutralise(self, text: str) -> str:
        """Break up every special token; the text is in NFC then, as the tokenizer would make it.

        打断文本中的特殊标记。
        """
        text = unicodedata.normalize("NFC", text)
        for token in self._special:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def tokens(self, text: str) -> int:
        """Count the prompt's own tokens, as the pipeline would see them within its template.

        计算提示词的标记数。
        """
        return self._count(text) - self._start - (self._count("") - self._start)

    def _count(self, text: str) -> int:
        with self._lock:
            return len(self._tokenizer(self._template.format(text)).input_ids)
