package hearth.agent

import java.nio.file.{Path, Paths}

/** What the launcher tells the agent, by `spark.hearth.*` keys of the properties file.
  *
  * @param gateways    base addresses, in the order to try them
  * @param certificate SHA-256, in hexadecimal, of the one certificate by which an `https` gateway is known; none for `http`
  * @param application uuid of the application, as text
  * @param token       bearer token of the link; never logged
  * @param python      folder of the agent's Python sources
  * @param warm        kinds whose interpreters the first session will need
  * @param scratch     private folder for REPL classes and spilled output
  * @param spares      whether to keep an interpreter of each kind in use ready for the next session
  */
final class Settings(
    val gateways: Seq[String],
    val certificate: Option[String],
    val application: String,
    val token: String,
    val python: Path,
    val warm: Seq[String],
    val scratch: Path,
    val spares: Boolean = true)

object Settings {
  private val prefix = "spark.hearth."

  /** Reads the keys from the system properties, where spark-submit put them, and removes them, so that neither the
    * SparkContext's configuration nor user code nor the Spark UI ever holds them.
    *
    * @throws IllegalArgumentException naming the first key that is missing
    */
  def take(): Settings = {
    def optional(key: String): Option[String] = Option(System.getProperty(prefix + key)).map(_.trim).filter(_.nonEmpty)
    def required(key: String): String =
      optional(key).getOrElse(throw new IllegalArgumentException(s"$prefix$key is not set: start the agent through Hearth"))
    def list(text: String): Seq[String] = text.split(',').toSeq.map(_.trim).filter(_.nonEmpty)

    try
      new Settings(
        gateways = list(required("gateways")).map(_.stripSuffix("/")),
        certificate = optional("certificate"),
        application = required("application"),
        token = required("token"),
        python = Paths.get(required("python")),
        warm = optional("warm").map(list).getOrElse(Nil),
        spares = !optional("spares").contains("false"),
        scratch = Paths.get(required("scratch")))
    finally
      System.getProperties.stringPropertyNames.forEach { key =>
        if (key.startsWith(prefix)) System.clearProperty(key)
      }
  }
}
