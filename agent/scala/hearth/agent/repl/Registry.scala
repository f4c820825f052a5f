package hearth.agent.repl

import java.io.File
import java.util.concurrent.ConcurrentHashMap

/** A class loader that finds the classes of every Scala session.
  *
  * Each session numbers its lines from a range of its own, so the name of a line's class tells whose it is.
  */
object Registry {

  /** Lines of one session: far more than anyone types, and few enough that an Int counts 20,000 sessions. */
  val linesPerSession = 100000

  private val loaders = new ConcurrentHashMap[Int, ClassLoader]
  @volatile private var base: ClassLoader = getClass.getClassLoader

  /** The loader that finds the classes of every session. */
  @volatile var all: ClassLoader = base

  /** Takes the application's loader, and returns the registry above it; done once, before the SparkContext is made. */
  def install(application: ClassLoader): ClassLoader = {
    base = application
    all = new Loader(application)
    all
  }

  /** The loader of the application. */
  def application: ClassLoader = base

  /** Makes the loader of a session's classes, which are found from now on. */
  def open(range: Int, folder: File): ClassLoader = {
    val made = new LineLoader(range, folder, base)
    loaders.put(range, made)
    made
  }

  def remove(range: Int): Unit = loaders.remove(range)

  /** The number of the line that a class belongs to, from a name like `$line100012.$read$$iw`; −1 for other classes. */
  def lineOf(className: String): Int =
    if (!className.startsWith("$line")) -1
    else {
      var end = 5
      while (end < className.length && Character.isDigit(className.charAt(end))) end += 1
      if (end == 5 || end > 14) -1 else className.substring(5, end).toInt
    }

  /** Text without the REPL's own names around a user's: `$line3.$read$$iw$$iw$`. */
  def unmangled(text: String): String = wrapper.replaceAllIn(text, "")

  private val wrapper = """\$line\d+\.\$(?:read|eval)(?:\$\$iw|\$iw|\.INSTANCE|\.\$iw)*[$.]?""".r

  private final class Loader(parent: ClassLoader) extends ClassLoader(parent) {
    override def findClass(name: String): Class[_] = {
      val line = lineOf(name)
      val owner = if (line < 0) null else loaders.get(line / linesPerSession)
      if (owner == null) throw new ClassNotFoundException(name) else owner.loadClass(name)
    }
  }
}
