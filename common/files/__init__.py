"""What is whole or not there: files and folders replaced in one step, locks, tensor files, plain JSON and CSV.

Also the names of contents (fingerprints), the versions that something was made with, and errors that say which artifact
is wrong. Any way to write or read belongs here that knows nothing of what is written.

May use ``common.units`` only.
"""
