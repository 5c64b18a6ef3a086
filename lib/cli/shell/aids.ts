/**
 * The functions that help with a line. They are loaded after the first prompt.
 *
 * @module
 */

export { listOf } from "./candidate_list.ts";
export { candidatesFor, completionOf } from "./completer.ts";
export { hintFor } from "./hint.ts";
export { keptLine } from "./history.ts";
