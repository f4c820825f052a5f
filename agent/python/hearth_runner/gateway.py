"""Py4J, made to know of statements and cancels."""

from py4j import protocol
from py4j.clientserver import ClientServerConnection


def group_each_statement(client, sessions, number, statement, interrupts):
    """Makes every call into the JVM, from whatever thread of this process, carry the running statement's job group.

    PySpark pins each Python thread to a thread of the JVM, and Spark keeps job group, pool and active session for each thread. So
    before the first call that a thread makes in a statement, the JVM's thread is told of it; a statement that makes no call pays nothing.
    Threads that serve calls from the JVM (foreachBatch) are left alone: they bring a group of their own.

    A cancel takes effect only while waiting for the JVM's answer, where it gives up the connection and has the JVM's thread interrupted,
    and never in between, where it would leave Py4J with half an answer.

    @param client    Py4J's
    @param sessions  class name of the agent's side
    """

    def call(method, *arguments):
        parts = [protocol.CALL_COMMAND_NAME, protocol.STATIC_PREFIX, sessions, "\n", method, "\n"]
        return "".join(parts + [protocol.get_command_part(argument) for argument in arguments] + [protocol.END_COMMAND_PART])

    class Connection(ClientServerConnection):
        hearth_ready = False
        hearth_statement = None
        hearth_thread = None

        def connect_to_java_server(self):
            super().connect_to_java_server()
            self.hearth_ready = True  # authenticated: the JVM takes commands

        def send_command(self, command):
            running = statement()
            if running is not None and running != self.hearth_statement and self.hearth_ready:
                self.hearth_statement = running
                answer = super().send_command(call("begin", number, running))
                self.hearth_thread = None if protocol.is_error(answer)[0] else protocol.get_return_value(answer, client)
            try:
                with interrupts.opened():
                    return super().send_command(command)
            except KeyboardInterrupt as interrupt:
                self.close()
                if self.hearth_thread is not None:
                    abandon(self.hearth_thread)
                raise _Interrupted(interrupt)

    def connect():
        connection = Connection(client.java_parameters, client.python_parameters, client.gateway_property, client)
        connection.connect_to_java_server()
        return connection

    def abandon(thread):
        connection = connect()
        ClientServerConnection.send_command(connection, call("abandon", thread))
        connection.close()

    def create_new_connection():
        connection = connect()
        client.set_thread_connection(connection)
        return connection

    send_command = client.send_command

    def send_command_whole(command, retry=True, binary=False):
        try:
            with interrupts.held():
                return send_command(command, retry, binary)
        except _Interrupted as interrupted:
            raise interrupted.interrupt from None

    client._create_new_connection = create_new_connection
    client.send_command = send_command_whole
    # The thread that attached has a connection of the old kind.
    old = client.get_thread_connection()
    if old is not None:
        client.deque.remove(old)
        old.close()


class _Interrupted(BaseException):
    """A KeyboardInterrupt on its way through Py4J, which would log it and call on JVM sockets by their ports."""

    def __init__(self, interrupt):
        self.interrupt = interrupt
