//! What views say, compared with what they must say.
