package hearth.agent.handle

import java.net.URLDecoder
import java.nio.charset.StandardCharsets.UTF_8
import java.util.concurrent.ConcurrentHashMap

import scala.util.Try

/** What addresses may name and still mean this context: itself and its sessions. */
object Addresses {
  private val sessions = ConcurrentHashMap.newKeySet[String]
  private val own = ConcurrentHashMap.newKeySet[String]

  /** A session has been opened.
    *
    * @param names uuid, the number by which Livy's clients know it, and its name
    */
  private[agent] def add(names: Seq[String]): Unit = names.foreach(sessions.add)

  private[agent] def remove(names: Seq[String]): Unit = names.foreach(sessions.remove)

  /** This context.
    *
    * @param names uuid and name
    */
  private[agent] def here(names: Seq[String]): Unit = names.foreach(own.add)

  /** Makes sure that an address of a session or context, with or without https://, means this context. Of which host it is nobody can tell:
    * a gateway has many names.
    *
    * @param name of the handle that is wanted
    * @throws HandleException which says the way out
    */
  def check(address: String, name: String): Unit = address match {
    case form("sessions", place) =>
      val session = read(place)
      if (!sessions.contains(session)) throw new HandleException(
        "not_found", s"""session $session is not of this context: for another context's handle take hearth.shared("CONTEXT/$name"), which is a DataFrame""")
    case form("contexts", place) =>
      val context = read(place)
      if (!own.contains(context)) throw HandleException.failed(
        s"$context is another context, whose entries cannot be got or put one by one from here: take " +
          s"""hearth.shared("$context/$name"), which is a DataFrame, or run code in a session of that context; programs outside of Spark """ +
          "have SharedRdd of the hearth package")
    case _ => throw HandleException.failed(
        s"${Values.brief(address)} is no address of a session or context: take one like https://host:8998/sessions/0")
  }

  private val form = "(?:https?://)?[^/]+(?:/.*)?/(sessions|contexts)/([^/?#]+)/*".r

  /** As it stands in an address; a uuid in small letters. */
  private def read(place: String): String = {
    val text = Try(URLDecoder.decode(place.replace("+", "%2B"), UTF_8)).getOrElse(place)
    if (text.matches(uuid)) text.toLowerCase else text
  }

  private val uuid = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
}
