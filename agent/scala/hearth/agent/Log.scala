package hearth.agent

import org.slf4j.LoggerFactory

/** The agent's own log, among Spark's. Never given code, output or the token. */
object Log {
  private val logger = LoggerFactory.getLogger("hearth.agent")

  def info(message: String): Unit = logger.info(message)

  def warn(message: String): Unit = logger.warn(message)

  def error(message: String, cause: Throwable): Unit = logger.error(message, cause)
}
