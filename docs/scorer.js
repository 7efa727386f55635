// Who looks for tensordot wants the chapter, or the function of that name, and not each helper with tensordot in its own name.
var Scorer = {
  score: ([page, , , , score]) => score + (page.startsWith("api/") ? 0 : 10),
  objNameMatch: 30,
  objPartialMatch: 1,
  objPrio: { 0: 0, 1: 0, 2: 0 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
