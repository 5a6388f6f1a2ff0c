/** Runs in a Web Worker: one thread of the modules that it is given. */

export type ToThread =
  | { readonly kind: 'greet' }
  | {
      readonly kind: 'attach';
      readonly id: number;
      readonly module: WebAssembly.Module;
      readonly memory: WebAssembly.Memory;
      readonly thread: number;
    }
  | { readonly kind: 'run' | 'detach'; readonly id: number };

/** Which module is ready to run; 0 when the thread itself is. */
export interface FromThread {
  readonly attached: number;
}

/** What a thread does with a message. */
export function threadReceiver(post: (message: FromThread) => void): (message: ToThread) => void {
  const runs = new Map<number, () => void>();
  return (message) => {
    switch (message.kind) {
      case 'greet':
        return post({ attached: 0 });
      case 'attach': {
        const { module, memory, thread, id } = message;
        const { exports } = new WebAssembly.Instance(module, { env: { memory } });
        runs.set(id, () => (exports.run as (thread: number) => void)(thread));
        return post({ attached: id });
      }
      case 'run':
        return runs.get(message.id)?.();
      case 'detach':
        runs.delete(message.id);
    }
  };
}

// in a Web Worker, and only there
if (typeof self !== 'undefined' && typeof self.postMessage === 'function') {
  const receive = threadReceiver((message) => self.postMessage(message));
  self.onmessage = ({ data }: MessageEvent<ToThread>) => receive(data);
}
