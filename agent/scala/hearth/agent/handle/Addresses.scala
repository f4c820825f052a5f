package hearth.agent.handle

/** Which sessions are of this context, by the names that stand in their addresses. */
object Addresses {
  private val open = java.util.concurrent.ConcurrentHashMap.newKeySet[String]

  /** @param names uuid, and the number by which Livy's clients know it */
  private[agent] def add(names: Seq[String]): Unit = names.foreach(open.add)

  private[agent] def remove(names: Seq[String]): Unit = names.foreach(open.remove)

  /** Whether the session, as `7` or by its uuid, is one of this context. */
  def isHere(session: String): Boolean = open.contains(session)
}
