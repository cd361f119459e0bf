import type { Result } from '../../protocol/index.js';
import type { DeviceCall } from '../worker-link/messages.js';
import type { DeviceMethod, DeviceParams, QueuedMethod } from '../worker-link/methods.js';

/** The worker's methods of an area, such as `buffers`. */
export type MethodsOf<Area extends string> = Extract<DeviceMethod, `${Area}.${string}`>;

/** What answers some of the worker's methods. */
export type DeviceHandlers<M extends DeviceMethod = DeviceMethod> = {
  readonly [N in M]: (params: DeviceParams<N>, call: Caller) => Answer<N>;
};

/** Which call of which session. */
export type Caller = Pick<DeviceCall, 'id' | 'session'>;

export type Answer<M extends DeviceMethod> = M extends QueuedMethod ? undefined : Result<M>;
