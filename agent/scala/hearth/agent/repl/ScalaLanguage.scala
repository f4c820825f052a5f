package hearth.agent.repl

import java.net.URLClassLoader
import java.nio.file.Path
import java.util.concurrent.atomic.AtomicInteger

import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.lines.Lines

import hearth.agent.{Interpreter, Language, Prepared, Settings => AgentSettings, Workspace}

/** Scala, by the REPL of the Scala that Spark was built with. */
object ScalaLanguage extends Language {

  /** Ranges of line numbers given so far; 0 is left out, so that line numbers tell the range. */
  private val ranges = new AtomicInteger

  override def kind: String = "spark"

  /** Starts the compiler and compiles the prelude, which needs nothing of Spark until a statement runs. */
  override def prepare(settings: AgentSettings): Prepared = {
    val range = ranges.incrementAndGet()
    val folder = settings.scratch.resolve("classes")
    val first = range * Registry.linesPerSession
    val lines = new Lines(compilerSettings(folder), Registry.open(range, folder.toFile), first)
    Prelude.compile(lines, range, first)
    new Prepared {
      override def open(workspace: Workspace): Interpreter = {
        val handles = Prelude.bind(range, workspace)
        new ScalaInterpreter(lines, range, workspace, handles)
      }
      override def close(): Unit = ScalaLanguage.close(lines, range)
    }
  }

  private[repl] def close(lines: Lines, range: Int): Unit = {
    Prelude.unbind(range)
    Registry.remove(range)
    lines.close()
  }

  private def compilerSettings(classes: Path): Settings = {
    val made = new Settings(problem => throw new IllegalArgumentException(problem))
    val arguments = List(
      "-Yrepl-class-based", "-Yrepl-outdir", classes.toString, "-classpath", classPath,
      // What the REPL would add to almost every statement, and nobody asked for.
      "-Wconf:cat=deprecation:s,cat=feature:s")
    made.processArguments(arguments, processAll = true)
    made.usejavacp.value = true
    made
  }

  /** Jars that spark-submit keeps in a loader of its own, and the JVM's. */
  private def classPath: String = {
    val loaders = Iterator.iterate(Registry.application)(_.getParent).takeWhile(_ != null)
    val urls = loaders.collect { case loader: URLClassLoader => loader.getURLs.toSeq }.flatten
    (urls.filter(_.getProtocol == "file").map(url => java.nio.file.Paths.get(url.toURI).toString).toSeq :+
      System.getProperty("java.class.path")).mkString(java.io.File.pathSeparator)
  }
}
