package hearth.agent

import java.lang.instrument.{ClassFileTransformer, Instrumentation}
import java.security.ProtectionDomain

import org.apache.xbean.asm9.{ClassReader, ClassVisitor, ClassWriter, Label, MethodVisitor, Opcodes}

/** The Java agent: puts `Check.poll()` into classes of the Scala REPL, at the start of each method and before each jump back,
  * so that a loop that never waits can be cancelled.
  */
object Instrument {
  @volatile private var isInstalled = false

  /** Whether the JVM was started with the agent. */
  def installed: Boolean = isInstalled

  def premain(arguments: String, instrumentation: Instrumentation): Unit = {
    instrumentation.addTransformer(Transformer)
    isInstalled = true
  }

  private object Transformer extends ClassFileTransformer {
    override def transform(
        loader: ClassLoader, name: String, redefined: Class[_], domain: ProtectionDomain, bytes: Array[Byte]): Array[Byte] =
      // The JVM gives no name for classes that are defined without one, as the REPL does.
      if (name != null && !name.startsWith(linePrefix)) null
      else
        try {
          val reader = new ClassReader(bytes)
          if (reader.getClassName.startsWith(linePrefix)) checked(reader) else null
        } catch {
          // Whatever goes wrong here, the class works as it is, only without checks.
          case _: Exception => null
        }
  }

  private val linePrefix = "$line"

  private def checked(reader: ClassReader): Array[Byte] = {
    val writer = new ClassWriter(reader, 0)
    reader.accept(new ClassVisitor(Opcodes.ASM9, writer) {
      override def visitMethod(
          access: Int, name: String, descriptor: String, signature: String, exceptions: Array[String]): MethodVisitor = {
        val method = super.visitMethod(access, name, descriptor, signature, exceptions)
        val abstractly = (access & (Opcodes.ACC_ABSTRACT | Opcodes.ACC_NATIVE)) != 0
        if (method == null || abstractly) method else new Checks(method, atEntry = !name.startsWith("<"))
      }
    }, 0)
    writer.toByteArray
  }

  private final class Checks(next: MethodVisitor, atEntry: Boolean) extends MethodVisitor(Opcodes.ASM9, next) {
    private val passed = new java.util.HashSet[Label]

    override def visitCode(): Unit = {
      super.visitCode()
      if (atEntry) check()
    }

    override def visitLabel(label: Label): Unit = {
      passed.add(label)
      super.visitLabel(label)
    }

    override def visitJumpInsn(opcode: Int, label: Label): Unit = {
      if (passed.contains(label)) check()
      super.visitJumpInsn(opcode, label)
    }

    override def visitTableSwitchInsn(low: Int, high: Int, default: Label, labels: Label*): Unit = {
      if (labels.exists(passed.contains) || passed.contains(default)) check()
      super.visitTableSwitchInsn(low, high, default, labels: _*)
    }

    override def visitLookupSwitchInsn(default: Label, keys: Array[Int], labels: Array[Label]): Unit = {
      if (labels.exists(label => passed.contains(label)) || passed.contains(default)) check()
      super.visitLookupSwitchInsn(default, keys, labels)
    }

    /** Needs no stack and leaves none, so the frames of the method stay true. */
    private def check(): Unit =
      super.visitMethodInsn(Opcodes.INVOKESTATIC, "hearth/agent/Check", "poll", "()V", false)
  }
}
