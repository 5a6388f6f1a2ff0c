/** The few steps with which the page touches its document. */

/** The element with this id. @throws Error when the HTML and the program have grown apart */
export function byId<T extends Element = HTMLElement>(id: string): T {
  const element = document.querySelector<T>(`#${id}`);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element;
}

/** A new element with text in it. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text = '',
  className = '',
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Shows or hides, for eyes and for screen readers alike. */
export const show = (target: Element, visible: boolean): void => {
  target.toggleAttribute('hidden', !visible);
};
