/** What may be shown on a terminal: text of others can hold escape sequences that move its cursor, hide lines or name the window. */

/** Control characters but for line breaks and tabs, and those that turn the direction of what follows. */
const UNPRINTABLE = /[^\P{Cc}\n\t]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

export const printable = (text: string): string => text.replace(UNPRINTABLE, '\ufffd');
