package hearth.agent.python

import java.nio.file.Path

import org.apache.spark.SparkConf

/** How a Python process is started.
  *
  * @param program     the Python of the driver's side
  * @param environment what is added to the driver's own environment
  * @param runner      folder of the runner
  */
private[python] final case class PythonCommand(program: String, environment: Map[String, String], runner: Path) {
  def builder: ProcessBuilder = {
    val made = new ProcessBuilder(program, runner.toString)
    environment.foreach { case (name, value) => made.environment.put(name, value) }
    made
  }
}

private[python] object PythonCommand {

  /** The same choice as `spark-submit` makes for a Python application, by configuration and environment. */
  def of(conf: SparkConf, environment: Map[String, String], sources: Path): PythonCommand = {
    val worker = conf.getOption("spark.pyspark.python")
    val program = conf.getOption("spark.pyspark.driver.python")
      .orElse(worker)
      .orElse(environment.get("PYSPARK_DRIVER_PYTHON"))
      .orElse(environment.get("PYSPARK_PYTHON"))
      .getOrElse("python3")
    // Python workers must hash text as this process does, or keys would part.
    val hashSeed = environment.getOrElse("PYTHONHASHSEED", "0")
    PythonCommand(
      program,
      Map("PYTHONHASHSEED" -> hashSeed) ++ worker.map("PYSPARK_PYTHON" -> _),
      sources.resolve("hearth_runner"))
  }
}
