package scala.tools.nsc.interpreter.lines

import java.nio.file.{Files, Path}

import scala.tools.nsc.Settings

import hearth.agent.repl.{Prelude, Preludes}

/** What a line shows, told without compiling code that tells it, is what the REPL's own code tells. */
object ReplChecks {
  /** Lines whose second program does more than name texts and values, or that are about value classes. */
  private val compiledTwice = 8

  private val codes = Seq(
    "1+1", "val x = 3", "var y = \"a\\\"b\"", "lazy val z = sys.error(\"made\")", "val (p, q) = (1, List(2.5))", "def f[T](t: T*): Option[T] = None",
    "class A { override def toString = \"an A\" }", "x == 3", "()", "private val h = 3", "val l: List[Option[String]] = Nil; val m = 3",
    "y = \"4\"", "y", "import java.util._", "val `a b` = 3", "`a b` + 1", "implicit val i: Long = 3L", "new A", "null", "val s = \"\"\"q\nr \\ \u00e9\"\"\"",
    "val u = ()", "Seq(1, 2).map(_ + 1)", "final case class B(a: Int)", "B(7) -> u", "val \u00e9t\u00e9 = '\\t'", "object O { val in = 1 }", "O.in", "trait T; type N = Map[Int, T]",
    "for (i <- 1 to 2000) yield i", "Array(1, 2)", "val fail: Int = sys.error(\"no\")", "throw new IllegalStateException(\"gone\")",
    "new A { override def toString: String = throw new RuntimeException(\"shy\") }", "x match { case 3 => \"three\" }", "@deprecated(\"\", \"\") def old = 1", "val r = 1 to 3\nr.sum",
    "class V(val a: Int) extends AnyVal; y = y + \"ran\"", "y", "case class W(a: Int) extends AnyVal", "val w = W(1)", "Seq(w)",
    "val `a.b` = { y = y + 1; 3 }", "`a.b`", "y", "final val long = \"" + "x" * 20000 + "\"", "val longer: List[" + "Map[String, " * 20 + "Int" + "]" * 20 + "] = Nil",
    "new { val in = 2 }", "val same: x.type = x",
    "type Id = W; val id: Id = w", "val any: Any = w", "val c = 'c'; val d = 2.5; val b = 7.toByte", "Some(()).get", "object P { override def toString = \"P\" }; P", "lazy val late = 3; late")

  def main(arguments: Array[String]): Unit = {
    val folder = Files.createTempDirectory("hearth-checks")
    try {
      val (ours, theirs) = (made(folder.resolve("ours")), made(folder.resolve("theirs")))
      codes.foreach { code =>
        val told = outcome(ours.compile(code).map { line =>
          val shown = line.run()
          line.record()
          shown
        }.getOrElse("refused"))
        theirs.repl.reporter.reset()
        val shown = outcome(theirs.repl.compile(code, false).map { request =>
          val shown = "" + request.lineRep.call("$print")
          theirs.repl.recordRequest(request)
          shown
        }.getOrElse("refused"))
        if (told != shown) throw new AssertionError(s"$code shows $told, not $shown")
      }
      def showing(whose: String) = Files.walk(folder.resolve(whose)).filter(_.getFileName.toString == "$eval$.class").count
      if (showing("ours") > compiledTwice)
        throw new AssertionError(s"${showing("ours")} of ${showing("theirs")} lines are compiled twice")
      // The last prelude that is there, and the first that is not.
      Seq(Preludes.count, Preludes.count + 1).foreach { range =>
        val lines = made(folder.resolve(s"prelude-$range"))
        Prelude.compile(lines, range, range * 1000)
        if (lines.compile("(spark, sc, sqlContext, hearth, lit(1), sql _)").isLeft)
          throw new AssertionError(s"the prelude of session $range: ${lines.said().map(_.message)}")
      }
      println("all checks of the REPL passed")
    } finally scala.reflect.io.Directory(folder.toFile).deleteRecursively()
  }

  /** Without the hash codes of objects. */
  private def outcome(shown: => String): String =
    try shown.replaceAll("@[0-9a-f]+", "@")
    catch { case failure: Throwable => Lines.unwrapped(failure).toString }

  private def made(classes: Path): Lines = {
    Files.createDirectories(classes)
    val settings = new Settings(problem => throw new IllegalArgumentException(problem))
    settings.processArguments(List("-Yrepl-class-based", "-Yrepl-outdir", classes.toString), processAll = true)
    settings.usejavacp.value = true
    new Lines(settings, getClass.getClassLoader, 1000)
  }
}
