/**
 * What a fleet needs of a broker. Two implementations keep one contract (test/conformance/bus): `InProcessBroker` for one
 * process, `connectNats` for everything across processes.
 *
 * Times are milliseconds, sizes bytes. Subjects are parts of letters, digits, "-" and "_", joined by dots; where a
 * pattern is taken, `*` stands for one part and `>` at the end for one or more. Bytes that are handed out may be shared with
 * other readers: nobody writes to them. Every wait ends: with its result, or with an error of `errors/bus.ts`. While the
 * connection is down, what needs an answer waits for it to come back as long as its `timeoutMs` lasts, then fails with
 * BUS_UNAVAILABLE; whether the broker has done it is then unknown.
 */
export interface Bus {
  /** For people: what kind of broker, and where. */
  readonly name: string;
  /** The largest message, with 4 KiB for headers taken off. */
  readonly maxPayload: number;
  /** Whether there is a connection to the broker now. */
  readonly connected: boolean;

  /**
   * To whoever listens now: at most once, in order for each sender. Nothing is kept while the connection is down.
   * @returns whether it was handed to the connection
   * @throws BUS_SUBJECT_INVALID, BUS_PAYLOAD_TOO_LARGE, BUS_CLOSED
   */
  publish(subject: string, data: Uint8Array): boolean;
  /**
   * Hears what is published on `pattern`, one message after the other: the next one waits for the promise of the one before.
   * What does not fit into `limits` is dropped and counted. Comes back by itself after a lost connection, during
   * which messages are missed. With a `group`, one member of the group hears each message. An error of the handler goes to `onError`.
   */
  subscribe(pattern: string, handler: MessageHandler, options?: SubscribeOptions): Subscription;

  /**
   * Asks whoever answers on `subject`, and takes the first answer.
   * @throws BUS_NO_RESPONDER at once where nobody does, BUS_REQUEST_TIMEOUT, BUS_UNAVAILABLE, BUS_PAYLOAD_TOO_LARGE; an error that the
   * answerer threw as a PynqLlmError comes as that error, any other as BUS_REQUEST_FAILED
   */
  request(subject: string, data: Uint8Array, options?: WaitOptions): Promise<Uint8Array>;
  /** Answers requests on `pattern`, several at a time; beyond `limits` they are refused with BUS_BUSY. */
  answer(pattern: string, handler: RequestHandler, options?: AnswerOptions): Subscription;

  /**
   * Creates a queue, log or bucket, or changes its limits to these; what is stored stays. For the fleet's owner: a board's key may not.
   * @throws BUS_NOT_PERMITTED, BUS_OPTION_INVALID, BUS_UNAVAILABLE
   */
  declareQueue(config: QueueConfig, options?: WaitOptions): Promise<void>;
  declareLog(config: LogConfig, options?: WaitOptions): Promise<void>;
  declareBucket(config: BucketConfig, options?: WaitOptions): Promise<void>;
  /** Opens by name, without asking the broker: what does not exist shows at the first use, as BUS_MISSING. */
  queue(name: string): WorkQueue;
  log(name: string): Log;
  bucket(name: string): KeyValue;

  /** Tells when the connection goes and comes back. @returns a function that ends this */
  onConnection(listener: (connected: boolean) => void): () => void;
  /** Ends subscriptions, readers and waits (BUS_CLOSED). What was pulled and not acknowledged is delivered again later. */
  close(): Promise<void>;
}

/** How long a call may take. */
export interface WaitOptions {
  /** 1 to 600,000; 5,000 if not given. */
  readonly timeoutMs?: number;
}

export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
}
export type MessageHandler = (message: BusMessage) => void | Promise<void>;
/** @returns the answer */
export type RequestHandler = (message: BusMessage) => Uint8Array | Promise<Uint8Array>;

/** What may wait for a handler. */
export interface BacklogLimits {
  /** Messages; 1,024 if not given. */
  readonly messages?: number;
  /** Bytes of their data; 8 MiB if not given. */
  readonly bytes?: number;
}
export interface SubscribeOptions {
  /** 1 to 64 letters, digits, "-" and "_". */
  readonly group?: string;
  readonly limits?: BacklogLimits;
  /** Hears what the handler throws, and BUS_NOT_PERMITTED where the broker refuses the subscription, which then is over. */
  readonly onError?: (error: unknown) => void;
}
export interface AnswerOptions extends SubscribeOptions {
  /** How many handlers run at a time; 16 if not given. */
  readonly concurrency?: number;
}
export interface Subscription {
  /** Messages that were dropped, or requests that were refused, because too many waited. */
  readonly dropped: number;
  /** Resolves when the broker has the subscription: what is published later is heard. */
  readonly ready: Promise<void>;
  /** Nothing is handed over any more. */
  close(): void;
}

/** Limits of what is stored. */
export interface StoreLimits {
  /** The oldest are deleted after this; 0 for never. */
  readonly maxAgeMs: number;
  /** Of messages with what is kept beside them. Beyond it puts are refused (queue), or push out the oldest (log). At least 4,096; 0 for no limit. */
  readonly maxBytes: number;
  /** How long the broker remembers ids to refuse duplicates: at least 100, at most `maxAgeMs` where that is not 0. */
  readonly duplicateWindowMs: number;
}
export interface QueueConfig extends StoreLimits {
  /** 1 to 64 letters, digits, "-" and "_": also the first part of its subjects. */
  readonly name: string;
  /** Who has pulled a message has so long to acknowledge it, or to say that it still works on it. At least 100. */
  readonly ackWaitMs: number;
  /** After so many deliveries a message is delivered no more, and told to `onExhausted`. 1 to 1,000. */
  readonly maxDeliveries: number;
}
export interface LogConfig extends StoreLimits {
  readonly name: string;
}
/** A bucket keeps the last value of each key. */
export interface BucketConfig {
  readonly name: string;
  /** Writes beyond it are refused; at least 4,096, 0 for no limit. */
  readonly maxBytes: number;
  /**
   * The largest value, at least 4,096; as large as a message may be unless given. Where several keys of a broker write to one bucket, none of
   * them is to take the others' room.
   */
  readonly maxValueBytes?: number | undefined;
}

/** What became of something that was stored under an id. */
export interface Stored {
  /** Its number: rises with each message of the queue or log, from 1. Of a duplicate: that of the first. */
  readonly sequence: number;
  /** Whether the id was stored before, within the window: then nothing was stored. */
  readonly duplicate: boolean;
}

/**
 * Work for whoever pulls it, in lanes: each message goes to one puller of its lane, at least once, the oldest first, until it is
 * acknowledged. Ids are refused in the whole queue: a message that is moved to another lane needs a new one.
 */
export interface WorkQueue {
  readonly name: string;
  /** Makes a lane that can be pulled from, or changes its limits to the queue's; for the fleet's owner. Messages that were put before count. */
  openLane(lane: string, options?: WaitOptions): Promise<void>;
  /** Deletes a lane with the messages that wait in it; for the fleet's owner. One that is not there is no error. */
  deleteLane(lane: string, options?: WaitOptions): Promise<void>;
  /**
   * Puts a message into a lane, also one that nobody has opened yet.
   * @param id 1 to 128 characters from "!" to "~": the same id is stored once. It is sent again with it after a lost connection.
   * @throws BUS_STORE_FULL, BUS_PAYLOAD_TOO_LARGE, BUS_MISSING, BUS_UNAVAILABLE: with the same id it can be put again
   */
  put(lane: string, id: string, data: Uint8Array, options?: WaitOptions): Promise<Stored>;
  /**
   * Takes the next message of a lane, waiting for one if there is none.
   * @returns undefined where none came within `waitMs` or `signal` was aborted
   * @throws BUS_MISSING where nobody has opened the lane; BUS_UNAVAILABLE where the connection was down for all of `waitMs`
   */
  pull(lane: string, options: PullOptions): Promise<Delivery | undefined>;
  /**
   * Gives a delivery back in the name of whoever pulled it: it is delivered again after `delayMs`, not only after the ack wait. A token
   * of an older delivery may give back the newest one as well. One that was acknowledged stays so.
   * @param token of `Delivery`
   */
  giveBack(token: string, delayMs?: number, options?: WaitOptions): Promise<void>;
  /** What is stored in a lane: waiting, delivered and not acknowledged, and exhausted, by sequence; for the fleet's owner. */
  list(lane: string, options?: WaitOptions): Promise<readonly QueuedMessage[]>;
  /** Deletes one message, wherever it is. @returns whether it was there */
  remove(sequence: number, options?: WaitOptions): Promise<boolean>;
  /**
   * Hears of messages that were delivered `maxDeliveries` times and not acknowledged: at most once each, soon after. They stay in the
   * queue, undelivered, until they are removed or too old; `list` shows those that were missed.
   */
  onExhausted(handler: (exhausted: ExhaustedMessage) => void): Subscription;
}
export interface PullOptions {
  /** 1 to 600,000. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
}
export interface QueuedMessage {
  readonly sequence: number;
  readonly lane: string;
  readonly id: string;
  readonly data: Uint8Array;
}
export interface ExhaustedMessage {
  readonly lane: string;
  readonly sequence: number;
  readonly deliveries: number;
}

/** A message in the hands of one puller. */
export interface Delivery extends QueuedMessage {
  /** 1 at first; more where it was delivered before. */
  readonly deliveries: number;
  /** Names this delivery, for `giveBack`. Whoever has it can give back, acknowledge nothing else. */
  readonly token: string;
  /**
   * Done: it is never delivered again. Confirmed by the broker. An acknowledgement of an older delivery counts too: the work was done.
   * @throws BUS_UNAVAILABLE: it may be delivered again
   */
  ack(options?: WaitOptions): Promise<void>;
  /** Not done: deliver it again, after `delayMs` (0 if not given). Not confirmed: if it is lost, the ack wait ends. */
  nak(delayMs?: number): void;
  /** Still working: the ack wait begins anew. Not confirmed: say so several times within the ack wait. */
  working(): void;
}

/** Entries by subject, in one order, for readers that come back. What was stored otherwise than by `append` is passed over. */
export interface Log {
  readonly name: string;
  /**
   * Appends under an id that is stored once. Appends by one Bus to one subject are stored in the order of the calls, also when
   * they are sent again after a lost connection; where one fails, later ones may still be stored.
   * @param subject within the log: its name is put before it
   * @param id as in `WorkQueue.put`, refused for this subject; where others may append to the log, it or the subject should hold something
   * that they cannot guess, else they could use it up
   */
  append(subject: string, id: string, data: Uint8Array, options?: WaitOptions): Promise<Stored>;
  /**
   * Reads entries whose subject is of `pattern`, by sequence, from `from` on (1 if not given), first what is stored, then what comes.
   * Goes on by itself after lost connections and restarts of the broker, without a gap and without repeating an entry. Entries that were deleted before
   * they were read are passed over. Reads no faster than the entries are taken. Ends without an error when `signal` is aborted.
   * @throws from its iteration: BUS_MISSING, BUS_NOT_PERMITTED, BUS_CLOSED; never BUS_UNAVAILABLE, since it waits for the broker
   */
  read(options?: ReadOptions): AsyncIterable<LogEntry>;
  /** The last entry of a subject. @returns undefined where there is none */
  last(subject: string, options?: WaitOptions): Promise<LogEntry | undefined>;
  /** The first and last sequence that are stored; where nothing is, `first` is `last` + 1. For the fleet's owner. */
  bounds(options?: WaitOptions): Promise<{ readonly first: number; readonly last: number }>;
  /** Deletes the entries whose subjects are of `pattern`; for the fleet's owner. */
  purge(pattern: string, options?: WaitOptions): Promise<void>;
}
export interface ReadOptions {
  /** ">" if not given. */
  readonly pattern?: string;
  readonly from?: number;
  readonly signal?: AbortSignal;
}
export interface LogEntry {
  readonly sequence: number;
  /** Without the log's name. */
  readonly subject: string;
  readonly id: string;
  readonly data: Uint8Array;
}

/** The last value of each key, with compare-and-set. A key is a subject. What was stored otherwise than by these methods counts as nothing. */
export interface KeyValue {
  readonly name: string;
  /** @returns undefined where the key is not there */
  get(key: string, options?: WaitOptions): Promise<KeyEntry | undefined>;
  /** Writes where the key is not there. @returns its revision, or undefined where the key is there */
  create(key: string, value: Uint8Array, options?: WaitOptions): Promise<number | undefined>;
  /** Writes where the key has still this revision. @returns the new one, or undefined where another was written or it was deleted */
  update(
    key: string,
    value: Uint8Array,
    revision: number,
    options?: WaitOptions,
  ): Promise<number | undefined>;
  /** Writes whatever is there. @returns the new revision */
  put(key: string, value: Uint8Array, options?: WaitOptions): Promise<number>;
  /** Deletes where the key has still `revision`, or whatever it has. @returns whether this call deleted it */
  delete(key: string, revision?: number, options?: WaitOptions): Promise<boolean>;
  /**
   * The values that keys of `pattern` have, then each change, also deletions; of changes that follow fast, or while the connection was down,
   * perhaps only the last. `ready` comes once, after the values that were there. Goes on by itself, as `Log.read` does.
   */
  watch(options?: WatchOptions): AsyncIterable<KeyEvent>;
}
export interface WatchOptions {
  /** ">" if not given. */
  readonly pattern?: string;
  readonly signal?: AbortSignal;
}
export interface KeyEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Rises with each write in the bucket. */
  readonly revision: number;
}
export type KeyEvent =
  | ({ readonly kind: 'value' } & KeyEntry)
  | { readonly kind: 'deleted'; readonly key: string }
  | { readonly kind: 'ready' };
