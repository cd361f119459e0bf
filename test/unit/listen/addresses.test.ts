import { describe, expect, it } from 'vitest';
import { parseDeviceUrl } from '../../../agent/boards/open-board.js';
import { parseListenAddress } from '../../../listen/address.js';

describe('an address to listen on', () => {
  it.each([
    ['7787', { kind: 'tcp', host: '127.0.0.1', port: 7787, isLoopback: true, scheme: undefined }],
    ['localhost:0', { kind: 'tcp', host: 'localhost', port: 0, isLoopback: true, scheme: undefined }],
    ['127.1.2.3:80', { kind: 'tcp', host: '127.1.2.3', port: 80, isLoopback: true, scheme: undefined }],
    ['[::1]:80', { kind: 'tcp', host: '::1', port: 80, isLoopback: true, scheme: undefined }],
    ['[::]:80', { kind: 'tcp', host: '::', port: 80, isLoopback: false, scheme: undefined }],
    ['0.0.0.0:80', { kind: 'tcp', host: '0.0.0.0', port: 80, isLoopback: false, scheme: undefined }],
    [
      '127.0.0.1.example.com:80',
      { kind: 'tcp', host: '127.0.0.1.example.com', port: 80, isLoopback: false, scheme: undefined },
    ],
    ['ws://board:80', { kind: 'tcp', host: 'board', port: 80, isLoopback: false, scheme: 'ws' }],
    ['wss://board:80/', { kind: 'tcp', host: 'board', port: 80, isLoopback: false, scheme: 'wss' }],
    ['unix:/run/agent.sock', { kind: 'unix', path: '/run/agent.sock' }],
  ])('%s is understood', (text, address) => {
    expect(parseListenAddress(text)).toEqual(address);
  });

  it.each([
    '',
    'board',
    'board:',
    ':80:',
    'board:99999',
    'unix:relative',
    `unix:/${'x'.repeat(120)}`,
    'http://a:1',
    'user@board:80',
  ])('"%s" is refused', (text) => {
    expect(() => parseListenAddress(text)).toThrow('AGENT_LISTEN_ADDRESS');
  });
});

describe('a device URL', () => {
  it.each([
    ['mock', { kind: 'mock', board: 'pynq-z1', realTime: false, faults: [] }],
    ['mock:', { kind: 'mock', board: 'pynq-z1', realTime: false, faults: [] }],
    ['mock:kv260', { kind: 'mock', board: 'kv260', realTime: false, faults: [] }],
    ['mock:v1', { kind: 'mock', board: 'pynq-z1-v1', realTime: false, faults: [] }],
    ['mock:my/board.toml?realtime=1', { kind: 'mock', board: 'my/board.toml', realTime: true, faults: [] }],
    [
      'mock:?fault=core-stuck:3:2&fault=hazard',
      {
        kind: 'mock',
        board: 'pynq-z1',
        realTime: false,
        faults: [
          { name: 'core-stuck', after: 3, count: 2 },
          { name: 'hazard', after: 0, count: 1 },
        ],
      },
    ],
    [
      'mock:?fault=hazard&fault-every=0.5',
      {
        kind: 'mock',
        board: 'pynq-z1',
        realTime: false,
        faults: [{ name: 'hazard', after: 0, count: 1 }],
        faultEveryMs: 500,
      },
    ],
    [
      'mock:pynq-z1?memory=reserved&devmem=1',
      {
        kind: 'mock',
        board: 'pynq-z1',
        realTime: false,
        faults: [],
        memory: { memory: 'reserved', devmem: true },
      },
    ],
    ['linux:', { kind: 'linux', board: '/etc/pynq-llm/board.toml', options: {} }],
    ['linux:kv260', { kind: 'linux', board: 'kv260', options: {} }],
    [
      'linux:my.toml?memory=reserved&devmem=1',
      { kind: 'linux', board: 'my.toml', options: { memory: 'reserved', devmem: true } },
    ],
    [
      'linux:?dma-mib=128',
      { kind: 'linux', board: '/etc/pynq-llm/board.toml', options: { inBytes: 128 << 20 } },
    ],
  ])('%s is understood', (url, parsed) => {
    expect(parseDeviceUrl(url)).toEqual(parsed);
  });

  it.each([
    '',
    'usb:0',
    'mockery:',
    'mock:?fault=none',
    'mock:?fault=hazard:x',
    'mock:?speed=9',
    'mock:?fault=hazard&fault-every=0',
    'mock:?fault=hazard&fault-every=often',
    'mock:?fault-every=60',
    'mock:?realtime=yes',
    'mock:?devmem=1',
    'mock:?memory=swap',
    'linux:?memory=swap',
    'linux:?dma-mib=0',
    'linux:?dma-mib=64MiB',
    'linux:?devmem=yes',
    'linux:?realtime=1',
  ])('"%s" is refused', (url) => {
    expect(() => parseDeviceUrl(url)).toThrow('AGENT_DEVICE_URL');
  });
});
