package hearth.agent.repl

import java.io.{File, FileInputStream}
import java.net.URL

/** Loads the classes of one Scala session from the folder where its compiler puts them, with cancellation checks in them.
  *
  * It stands between the application and the REPL's own loader, which asks it first and so never defines a class itself.
  *
  * @param range  the lines that are this session's
  * @param folder where all sessions of the application have their classes
  */
private[repl] final class LineLoader(range: Int, folder: File, application: ClassLoader) extends ClassLoader(application) {

  override def findClass(name: String): Class[_] = {
    val file = new File(folder, name.replace('.', '/') + ".class")
    if (!mine(name) || !file.isFile) throw new ClassNotFoundException(name)
    val bytes = Checked(read(file))
    defineClass(name, bytes, 0, bytes.length)
  }

  /** Spark reads the bytes of closures' classes: as they were compiled. */
  override def findResource(name: String): URL = {
    val file = new File(folder, name)
    if (mine(name) && file.isFile) file.toURI.toURL else null
  }

  private def mine(name: String): Boolean = {
    val line = Registry.lineOf(name)
    line >= 0 && line / Registry.linesPerSession == range
  }

  /** Not by a channel: an interrupt would close it, and the class could never be loaded again. */
  private def read(file: File): Array[Byte] = {
    val in = new FileInputStream(file)
    try in.readAllBytes()
    finally in.close()
  }
}
