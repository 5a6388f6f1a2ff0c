/** The part of protobuf's wire format that ONNX needs: varints, fixed 32-bit floats and length-delimited fields. */

/** One message under construction. */
export interface Message {
  int(field: number, value: number | bigint): Message;
  ints(field: number, values: readonly number[]): Message;
  float(field: number, value: number): Message;
  text(field: number, value: string): Message;
  bytes(field: number, value: Uint8Array): Message;
  message(field: number, value: Message): Message;
  finish(): Uint8Array;
}

const encoder = new TextEncoder();

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

const VARINT = 0;
const DELIMITED = 2;
const FIXED32 = 5;

export function message(): Message {
  const parts: Uint8Array[] = [];
  let length = 0;
  const push = (part: Uint8Array): void => {
    parts.push(part);
    length += part.length;
  };
  const tag = (field: number, wire: number): void => push(varint(field * 8 + wire));
  const self: Message = {
    int(field, value) {
      tag(field, VARINT);
      push(varint(value));
      return self;
    },
    ints(field, values) {
      for (const value of values) self.int(field, value);
      return self;
    },
    float(field, value) {
      tag(field, FIXED32);
      const four = new Uint8Array(4);
      new DataView(four.buffer).setFloat32(0, value, true);
      push(four);
      return self;
    },
    text: (field, value) => self.bytes(field, encoder.encode(value)),
    bytes(field, value) {
      tag(field, DELIMITED);
      push(varint(value.length));
      push(value);
      return self;
    },
    message: (field, value) => self.bytes(field, value.finish()),
    finish() {
      const all = new Uint8Array(length);
      let at = 0;
      for (const part of parts) {
        all.set(part, at);
        at += part.length;
      }
      return all;
    },
  };
  return self;
}
