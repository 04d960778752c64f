"""Users of a deployment: passwords, tokens, who a request comes from, and what that one may do."""

from sbf_kernel.accounts.permissions import ANONYMOUS, require
from sbf_kernel.accounts.principals import authenticate

__all__ = ["ANONYMOUS", "authenticate", "require"]
