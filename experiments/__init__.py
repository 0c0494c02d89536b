"""Run neighbouring studies on the parts of this project, a folder for each."""
