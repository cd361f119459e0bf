// A file of its own: Node that knows no import() could not even parse it.
import('../dist/cli/main.js');
