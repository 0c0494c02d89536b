"""The science behind the scripts, one idea a file; every function can be called from a notebook.

Nothing in here prints, reads an environment variable or knows a folder: that is the
business of ``llm_brain_asym.py`` and of the scripts.
"""


class BadInput(ValueError):
    """The data that was given cannot be right; the message says what is wrong and what to do.

    Scripts show it as one line and end with status 2. Anything else that is raised is a
    mistake in the program and keeps its traceback.
    """
