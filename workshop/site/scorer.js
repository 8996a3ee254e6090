// How Sphinx's search weighs what it finds (html_search_scorer): as ever, but the ledgers of numbers come after what explains.
var Scorer = {
  score: ([page, , , , score]) => (/^numbers(\/|$)/.test(page) ? score / 10 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
