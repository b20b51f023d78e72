//! Accepts, fans out, attempts, settles and maintains; knows only the seams.
