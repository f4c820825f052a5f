package hearth.agent

/** The languages the agent speaks. */
object Languages {
  val all: Seq[Language] = Seq(repl.ScalaLanguage, python.PythonLanguage, sql.SqlLanguage)

  def of(kind: String): Option[Language] = all.find(_.kind == kind)
}
