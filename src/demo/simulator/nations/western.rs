//! Switzerland, Germany, the Netherlands.

use super::{FRENCH_TITLES, Nation, Postcode, TITLES, list};

pub(super) fn nations() -> Vec<Nation> {
    vec![
        Nation {
            code: "CH",
            country: "Switzerland",
            titles: list(FRENCH_TITLES),
            men: list("Luca|Noah|Matteo|Urs|Reto|Beat|Jürg|Fabio|Loïc|Kilian|Dario|Silvan|Yannick|Elias|Nils|Aurelio"),
            women: list(
                "Mia|Lina|Elin|Chiara|Ladina|Ursina|Regula|Vreni|Noémie|Aurélie|Sofia|Giulia|Nora|Flurina\
                |Jeanne|Amélie",
            ),
            last: list(
                "Müller|Meier|Schmid|Keller|Weber|Huber|Brunner|Baumann|Frei|Zimmermann|Gerber|Favre|Rochat\
                |Bianchi|Bernasconi|Caduff|Steiner|Roche|Rey|Fournier",
            ),
            streets: list(
                "Bahnhofstrasse|Dorfstrasse|Rue de Genève|Via Nassa|Kirchgasse|Rue de l'Abbaye|Seestrasse\
                |Place du Marché|Postgasse|Avenue de la Gare|Obere Gasse",
            ),
            cities: list(
                "Zürich|Genève|Basel|Lausanne|Bern|Winterthur|Luzern|Lugano|Chur|Neuchâtel|Sion\
                |La Chaux-de-Fonds|Val-d'Illiez |Aarau",
            ),
            states: list("Zürich|Vaud|Ticino|Graubünden|Valais|Uri|Appenzell Ausserrhoden|Jura"),
            postcode: Postcode::Number(1_000, 9_658),
            phone: "0## ### ## ##",
            cell: "07# ### ## ##",
            id: Some(("AVS", "756.####.####.##")),
        },
        Nation {
            code: "DE",
            country: "Germany",
            titles: list(TITLES),
            men: list(
                "Lukas|Leon|Finn|Jonas|Paul|Jürgen|Björn|Günther|Klaus|Uwe|Stefan|Matthias|Götz|Malte\
                |Friedrich|Kai",
            ),
            women: list(
                "Hannah|Lena|Leonie|Käthe|Jutta|Ursula|Grete|Sabine|Heike|Anja|Frauke|Mareike|Rosemarie\
                |Ingrid|Dörte|Silke",
            ),
            last: list(
                "Müller|Schmidt|Schneider|Fischer|Weber|Schäfer|Koch|Bäcker|Weiß|Groß|Jäger|Krüger|Lange\
                |Schröder|Vogt|Kühn|Böhm|Haas|Straub|Lindemann",
            ),
            streets: list(
                "Hauptstraße|Schulstraße|Gartenstraße|Bahnhofstraße|Dorfstraße|Bergstraße|Birkenweg\
                |Lindenallee|Am Mühlbach|Goethestraße|Rosenweg|Waldweg",
            ),
            cities: list(
                "Berlin|Hamburg|München|Köln|Düsseldorf|Würzburg|Görlitz|Bad Säckingen|Frankfurt (Oder)\
                |Halle|Weimar|Südbrookmerland|Ulm |Trier",
            ),
            states: list(
                "Bayern|Sachsen|Hessen|Thüringen|Baden-Württemberg|Nordrhein-Westfalen|Schleswig-Holstein\
                |Bremen",
            ),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "0###-#######",
            cell: "017#-#######",
            id: Some(("SVNR", "## ###### @ ###")),
        },
        Nation {
            code: "NL",
            country: "Netherlands",
            titles: list(TITLES),
            men: list(
                "Daan|Sem|Lucas|Finn|Bram|Thijs|Jurre|Sander|Joost|Wouter|Maarten|Ruben|Pieter|Floris|Teun\
                |Kees",
            ),
            women: list(
                "Emma|Sanne|Fleur|Lotte|Anouk|Femke|Saskia|Mirthe|Noor|Roos|Maud|Willemijn|Esmée|Jasmijn|Evi\
                |Marieke",
            ),
            last: list(
                "de Jong|Jansen|de Vries|van den Berg|Bakker|van Dijk|Visser|Smit|Meijer|de Boer|Mulder\
                |van 't Hoff|Bos|Vos|Peters|Hendriks|van Leeuwen|Dekker|Brouwer|in 't Veld",
            ),
            streets: list(
                "Dorpsstraat|Kerkstraat|Molenweg|Schoolstraat|Stationsweg|Julianastraat|Prins Bernhardlaan\
                |'t Zand|Oude Gracht|Lange Vijverberg|Beatrixlaan",
            ),
            cities: list(
                "Amsterdam|Rotterdam|'s-Hertogenbosch|Den Haag|Utrecht|Groningen|Maastricht|'s-Gravenpolder\
                |Leiden|Zwolle|Oss|Delft |Breda",
            ),
            states: list("Noord-Holland|Zuid-Holland|Zeeland|Friesland|Drenthe|Gelderland|Limburg|Flevoland"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "(0##) #######",
            cell: "(06) ########",
            id: Some(("BSN", "########")),
        },
    ]
}
