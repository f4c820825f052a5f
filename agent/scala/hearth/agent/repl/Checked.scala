package hearth.agent.repl

import org.apache.xbean.asm9.{ClassReader, ClassVisitor, ClassWriter, Label, MethodVisitor, Opcodes}

/** Puts `Check.poll()` at the start of each method and before each jump back, so that code that never waits can be cancelled. */
private[repl] object Checked {

  /** The class with checks in it; as it is, if something in it is beyond the rewriting. */
  def apply(bytes: Array[Byte]): Array[Byte] =
    try {
      val reader = new ClassReader(bytes)
      val writer = new ClassWriter(reader, 0)
      reader.accept(new Classes(writer), 0)
      writer.toByteArray
    } catch { case _: RuntimeException => bytes }

  private final class Classes(next: ClassVisitor) extends ClassVisitor(Opcodes.ASM9, next) {
    override def visitMethod(
        access: Int, name: String, descriptor: String, signature: String, exceptions: Array[String]): MethodVisitor = {
      val method = super.visitMethod(access, name, descriptor, signature, exceptions)
      val empty = (access & (Opcodes.ACC_ABSTRACT | Opcodes.ACC_NATIVE)) != 0
      if (empty) method else new Methods(method, atEntry = !name.startsWith("<"))
    }
  }

  private final class Methods(next: MethodVisitor, atEntry: Boolean) extends MethodVisitor(Opcodes.ASM9, next) {
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
      if (labels.exists(label => passed.contains(label)) || passed.contains(default)) check()
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
