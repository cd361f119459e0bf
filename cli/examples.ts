/** Shown at the end of a command's help. Each is a command line as a shell takes it. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  '': [
    'pynq-llm run "Once upon a time"',
    'pynq-llm top',
    'pynq-llm agent --device mock:kv260 --listen ws://127.0.0.1:7787',
    'pynq-llm run "Once upon a time" --device ws://127.0.0.1:7787',
    'pynq-llm deploy xilinx@192.168.2.99',
  ],
  run: [
    'pynq-llm run "Tom had a red ball. " -n 60 --temp 0',
    'echo "Tom had a red ball. " | pynq-llm run',
    'pynq-llm run -m model.gguf --chat "Why is the sky blue?" --device ssh://xilinx@192.168.2.99',
    `pynq-llm run "A child: " -j '{"type":"object","properties":{"age":{"type":"integer"}},"required":["age"]}'`,
  ],
  chat: ['pynq-llm chat -m model.gguf --system "Be brief."'],
  score: ['pynq-llm score "Once upon a time" --top 3', 'pynq-llm score --tokens 1,403,407 --json'],
  perplexity: ['pynq-llm perplexity text.txt -m model.gguf', 'pynq-llm perplexity < text.txt'],
  inspect: ['pynq-llm inspect model.gguf', 'pynq-llm inspect model.gguf --board pynq-z1-360'],
  upload: ['pynq-llm upload model.gguf --device ssh://xilinx@192.168.2.99'],
  models: ['pynq-llm models', 'pynq-llm models load model.gguf -c 512'],
  top: ['pynq-llm top', 'pynq-llm top --once --json', 'NO_COLOR=1 pynq-llm top'],
  counters: ['pynq-llm counters', 'pynq-llm counters --watch --json'],
  regs: ['pynq-llm regs dma0', 'pynq-llm regs --list', 'pynq-llm regs dma0.MM2S_DMASR --json'],
  serve: [
    'pynq-llm serve --model model.gguf --port 8080',
    'pynq-llm serve --host 0.0.0.0 --api-key-file keys.txt',
  ],
  agent: [
    'pynq-llm agent --device mock:',
    'pynq-llm agent --device linux: --listen unix:/run/pynq-llm/agent.sock',
  ],
  fleet: [
    'pynq-llm fleet up --mocks 4 --model models/tiny-stories-Q3_K_M.gguf',
    'pynq-llm fleet serve --bus nats://127.0.0.1:4222 --model model.gguf',
    'pynq-llm fleet status --device ws://127.0.0.1:8080',
    'pynq-llm fleet top ws://127.0.0.1:8080',
    'pynq-llm fleet drain shelf-1 --device ws://127.0.0.1:8080 --wait',
    'pynq-llm fleet verify --device ws://127.0.0.1:8080',
  ],
  completion: [
    'source <(pynq-llm completion bash)',
    'pynq-llm completion zsh > ~/.zfunc/_pynq-llm',
    'pynq-llm completion fish > ~/.config/fish/completions/pynq-llm.fish',
  ],
};
