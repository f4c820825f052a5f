package hearth.agent.ui

import java.nio.charset.StandardCharsets.UTF_8
import java.security.MessageDigest

/** The secret that opens the Spark UI of this application, which otherwise everybody on the machine could look at.
  *
  * It follows from what both ends have anyhow: the gateway keeps the SHA-256 of the application's token, the agent the token. So it is
  * neither configured nor sent, and no UI page can show it.
  */
object UiKey {

  /** The header that carries it. */
  val header = "X-Hearth-Ui-Key"

  @volatile private var key: Option[Array[Byte]] = None

  /** Takes the token, before Spark is started. */
  def derive(token: String): Unit = {
    val kept = sha256(token.getBytes(UTF_8))
    key = Some(sha256("hearth ui".getBytes(UTF_8) ++ kept).map(byte => f"$byte%02x").mkString.getBytes(UTF_8))
  }

  /** Whether this opens the UI; nothing does before the token is known. */
  def opens(given: String): Boolean =
    given != null && key.exists(MessageDigest.isEqual(_, given.getBytes(UTF_8)))

  private def sha256(bytes: Array[Byte]): Array[Byte] = MessageDigest.getInstance("SHA-256").digest(bytes)
}
