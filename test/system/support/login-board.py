"""A board's serial console on a pseudo terminal: a login on a terminal with a real line discipline, then a real shell.

Takes a JSON object as its argument, prints the path of the port, and plays until it is ended."""
import json, os, pty, random, select, sys, termios, time, tty

play = json.loads(sys.argv[1])


def login():
    """What getty and login do, in whatever words."""
    def ask(question, echo):
        sys.stdout.write(question)
        sys.stdout.flush()
        mode = termios.tcgetattr(0)
        mode[3] = mode[3] | termios.ECHO if echo else mode[3] & ~termios.ECHO
        termios.tcsetattr(0, termios.TCSADRAIN, mode)
        answer = sys.stdin.readline().rstrip("\n")
        if not echo:
            sys.stdout.write("\n")
        return answer

    sys.stdout.write(play.get("before", ""))
    count = 0
    while not play.get("open"):
        if "menu" in play:
            ask(play["menu"], True)
            continue
        count += 1
        name = ask(play["login"].replace("#", str(count)), True)
        if name == "":
            continue
        time.sleep(play.get("pause", 0))
        password = ask(play["password"], False)
        time.sleep(play.get("pause", 0))
        if name == play["user"] and password == "secret word":
            break
        time.sleep(1)
        sys.stdout.write(play.get("refusal", "No.") + "\n")
    mode = termios.tcgetattr(0)
    mode[3] |= termios.ECHO
    termios.tcsetattr(0, termios.TCSADRAIN, mode)
    sys.stdout.write(play.get("motd", ""))
    sys.stdout.flush()
    rc = os.path.join(play["home"], "rc")
    with open(rc, "w") as file:
        file.write("PS1=%s\n%s\n" % ("$'" + play.get("ps1", "\\u@\\h:\\w\\$ ") + "'", play.get("rc", "")))
    env = {"HOME": play["home"], "PATH": play["path"], "TERM": "xterm", "LANG": "C.UTF-8", "HISTFILE": os.path.join(play["home"], "history")}
    os.execvpe("bash", ["bash", "--noprofile", "--rcfile", rc, "-i"], env)


line, port = pty.openpty()
tty.setraw(line)
tty.setraw(port)
print(os.ttyname(port), flush=True)
if play.get("noise"):
    # Nothing is written before somebody listens who could mind.
    time.sleep(1)
    generator = random.Random(7)
    os.write(line, bytes(generator.randrange(256) for _ in range(600)))
    time.sleep(60)
    sys.exit()
# The board boots on: it does not wait for somebody to look.
child, terminal = pty.fork()
if child == 0:
    login()
while True:
    for ready in select.select([line, terminal], [], [])[0]:
        try:
            data = os.read(ready, 4096)
        except OSError:
            time.sleep(3600)
        if ready == line:
            os.write(terminal, data)
            continue
        if not play.get("slow"):
            os.write(line, data)
            continue
        for byte in data:
            os.write(line, bytes([byte]))
            time.sleep(play["slow"])
