//! One `spark-submit` of a jar or a script.
