package hearth.agent.handle

import java.util.UUID

/** Who has given a name to data, and by what the gateway tells these from those that somebody else gives the name to: what is granted of
  * the one is not granted of the other, and what was asked of the one may come when the name stands for the other already.
  *
  * @param owner whose session shared them, as far as the gateway says so
  * @param id    stays when the owner gives the name to other data of theirs; None where the gateway has not said it, and then it is not looked at
  */
final case class Claim(owner: Option[String], id: Option[String]) {

  /** Whether these are the data that are meant by the id, where one is told. */
  def isMeant(by: Option[String]): Boolean = by.isEmpty || id.isEmpty || by == id

  /** That of somebody who takes the name next. Of whom nothing is known may be anybody. */
  def next(by: Option[String]): Claim = if (by.isDefined && by == owner && id.isDefined) this else Claim.first(by)
}

object Claim {
  def first(by: Option[String]): Claim = Claim(by, Some(UUID.randomUUID.toString))
}
