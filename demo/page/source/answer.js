/**
 * What the network says of a picture; `Result` of demo/answer.py.
 *
 * @typedef {object} Result
 * @property {{percent: number, box: [number, number, number, number]}} crop what the network saw
 * @property {[number, number]} cells h and w of a contribution map
 * @property {string[]} classes in the order of the maps
 * @property {string} contributions base64 of float32 (classes, h, w), in logits
 * @property {?string} mean_contributions the same of the validation images' mean
 * @property {Record<string, number>} bias
 * @property {Record<string, number>} logit
 * @property {Record<string, number>} probability
 * @property {Record<string, ?number>} threshold
 * @property {boolean} calibrated without calibration a probability is a score
 * @property {?string} thresholds_of
 * @property {Record<string, {slope: number, bias: number}>} calibration of the logit
 * @property {Record<string, string>} trust
 * @property {Record<string, string>} notes
 * @property {Record<string, string>} titles
 * @property {string[]} findings
 * @property {?string} no_finding
 * @property {string} first the most probable finding
 * @property {string[]} methods the exact one first
 * @property {string} more_methods why there are no others
 * @property {number} top logits that have the brightest colour
 */

/**
 * An answer about one picture; `Answer` of demo/answer.py. The result is missing while the gate
 * objects and the visitor has not gone on.
 *
 * @typedef {object} Head
 * @property {string} id
 * @property {string} notice
 * @property {string} trained_on
 * @property {string} facts
 * @property {boolean} example
 * @property {{fine: boolean, kind: string, message: string, open: boolean, correctable: boolean}} gate
 * @property {{width: number, height: number, bits: number, encoding: string, data: string}} preview
 * @typedef {Head & Partial<Result>} Answer
 */

export {};
