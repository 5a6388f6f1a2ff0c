/** The build of msgpackr that compiles no code at run time, so that a page's CSP needs no `unsafe-eval`; it ships no types of its own. */
declare module 'msgpackr/index-no-eval' {
  export { Packr, Unpackr } from 'msgpackr';
}
