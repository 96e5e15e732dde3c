//! Denmark, Finland, Norway.

use super::{Nation, Postcode, TITLES, list};

pub(super) fn nations() -> Vec<Nation> {
    vec![
        Nation {
            code: "DK",
            country: "Denmark",
            titles: list(TITLES),
            men: list(
                "Noah|Oscar|Magnus|Mikkel|Søren|Jørgen|Rasmus|Frederik|Anders|Malthe|Lærke|Bjørn|Tobias\
                |Villads|Asger|Emil",
            ),
            women: list(
                "Ida|Freja|Sofie|Mathilde|Karla|Maja|Signe|Astrid|Ærø|Kirsten|Lærke|Filippa|Tilde|Clara\
                |Solveig|Rikke",
            ),
            last: list(
                "Jensen|Nielsen|Hansen|Pedersen|Andersen|Sørensen|Jørgensen|Møller|Rasmussen|Kjær|Østergaard\
                |Bech|Skov|Krogh|Holm|Poulsen|Thomsen|Dahl|Nørgaard|Lund",
            ),
            streets: list(
                "Nørregade|Østergade|Skolevej|Møllevej|Kirkevej|Åvej|Strandvejen|Vestergade|Birkevej\
                |Ærtevej|Fælledvej|Bøgevej",
            ),
            cities: list(
                "København|Aarhus|Odense|Aalborg|Esbjerg|Næstved|Sønderborg|Ærøskøbing|Hvidovre|Randers\
                |Rødby|St.Merløse |Viborg",
            ),
            states: list("Hovedstaden|Midtjylland|Nordjylland|Sjælland|Syddanmark|Danmark"),
            postcode: Postcode::Number(1_000, 9_990),
            phone: "########",
            cell: "########",
            id: Some(("CPR", "######-####")),
        },
        Nation {
            code: "FI",
            country: "Finland",
            titles: list(TITLES),
            men: list("Eino|Väinö|Onni|Leo|Aleksi|Eetu|Joona|Matias|Niilo|Topias|Veeti|Lauri|Arttu|Juho|Kalle|Samuli"),
            women: list("Aino|Eevi|Helmi|Sofia|Venla|Kerttu|Iida|Lumi|Minttu|Pinja|Veera|Emmi|Ella|Siiri|Hilla|Tuuli"),
            last: list(
                "Korhonen|Virtanen|Mäkinen|Nieminen|Mäkelä|Hämäläinen|Laine|Heikkinen|Koskinen|Järvinen\
                |Lehtonen|Salmi|Kinnunen|Pulkkinen|Wuori|Hakala|Ojala|Peltola|Rinne|Koivisto",
            ),
            streets: list(
                "Mannerheimintie|Hämeenkatu|Aleksanterinkatu|Bulevardi|Esplanadi|Itsenäisyydenkatu\
                |Pirkankatu|Tahmelantie|Fredrikinkatu|Visiokatu|Suvantokatu",
            ),
            cities: list(
                "Helsinki|Espoo|Tampere|Turku|Oulu|Jyväskylä|Kuopio|Hämeenlinna|Rovaniemi|Äänekoski\
                |Pyhäjärvi|Ähtäri|Vaasa ",
            ),
            states: list("Uusimaa|Pirkanmaa|Lapland|Kainuu|Åland|Satakunta|Päijät-Häme"),
            postcode: Postcode::Number(10_000, 99_999),
            phone: "##-###-###",
            cell: "04#-###-##-##",
            id: Some(("HETU", "NaNNA###undefined")),
        },
        Nation {
            code: "NO",
            country: "Norway",
            titles: list(TITLES),
            men: list(
                "Jakob|Emil|Noah|Sondre|Håkon|Øyvind|Lars|Magnus|Eirik|Torbjørn|Sverre|Ådne|Kristoffer|Odin\
                |Trym|Even",
            ),
            women: list(
                "Nora|Ingrid|Sigrid|Åse|Solveig|Tuva|Frida|Synnøve|Maren|Ragnhild|Live|Selma|Vilde|Øydis\
                |Marte|Thea",
            ),
            last: list(
                "Hansen|Johansen|Olsen|Larsen|Bøe|Sørlie|Ødegård|Haugen|Moen|Bakke|Lie|Nygård|Strand|Aas\
                |Solberg|Hagen|Dahl|Myhre|Rød|Tveit",
            ),
            streets: list(
                "Karl Johans gate|Storgata|Kirkeveien|Bøkkerveien|Skolegata|Åsveien|Trondheimsveien\
                |Østre Strandgate|Fjordgata|Nedre Skøyen vei|Munkegata",
            ),
            cities: list(
                "Oslo|Bergen|Trondheim|Stavanger|Tromsø|Bodø|Ålesund|Hønefoss|Å i Lofoten|Røros|Lillehammer\
                |Førde |Vadsø",
            ),
            states: list(
                "Akershus|Hordaland|Sør-Trøndelag|Finnmark - Finnmárku|Møre og Romsdal|Troms - Romsa\
                |Telemark",
            ),
            postcode: Postcode::Text("####"),
            phone: "########",
            cell: "4#######",
            id: Some(("FN", "###########")),
        },
    ]
}
