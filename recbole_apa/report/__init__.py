"""Tables, figures and the HTML report; reads run records only."""
